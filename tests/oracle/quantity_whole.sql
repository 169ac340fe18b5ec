-- Quantities are whole numbers, and so are their parts.
CREATE MACRO is_too_fine(x) AS x <> floor(x);
CREATE MACRO as_quantity(x) AS x::BIGINT;
CREATE MACRO parts_of(quantity) AS quantity;
CREATE MACRO in_units(parts) AS parts;
