-- Quantities have up to six decimals, and whole millionths as their parts.
CREATE MACRO is_too_fine(x) AS rint(x * 1e6) / 1e6 <> x;
CREATE MACRO as_quantity(x) AS x;
CREATE MACRO parts_of(quantity) AS rint(quantity * 1e6)::BIGINT;
CREATE MACRO in_units(parts) AS parts::DOUBLE / 1e6;
