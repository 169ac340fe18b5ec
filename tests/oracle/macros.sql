-- Arithmetic that the tables share.

-- Whole number nearest to x, halves to the even one, exact for every double:
-- x - floor(x) loses no bits, whereas scaling x to look at its decimals would.
CREATE MACRO rint(x) AS CASE
    WHEN x - floor(x) < 0.5::DOUBLE THEN floor(x)
    WHEN x - floor(x) > 0.5::DOUBLE THEN floor(x) + 1
    WHEN floor(x) % 2 = 0 THEN floor(x)
    ELSE floor(x) + 1
END;

-- A ratio whose divisor is 0 is null.
CREATE MACRO ratio(a, b) AS a::DOUBLE / nullif(b, 0)::DOUBLE;

CREATE MACRO currency(cents) AS cents::DOUBLE / getvariable('cents_of_unit');

-- NaN and the infinities are no values.
CREATE MACRO finite(x) AS CASE WHEN isfinite(x::DOUBLE) THEN x END;
CREATE MACRO unless_nan(x) AS CASE WHEN NOT isnan(x::DOUBLE) THEN x END;

-- Null, or text of nothing but white space.
CREATE MACRO is_blank(id) AS
    id IS NULL OR trim(id::VARCHAR, getvariable('white_space')) = '';

-- What the clocks of the shop show at a moment in UTC.
CREATE MACRO local(moment) AS CASE
    WHEN getvariable('zone') = 'UTC' THEN moment
    ELSE timezone(getvariable('zone'), timezone('UTC', moment))
END;

CREATE MACRO month_of(day) AS date_trunc('month', day)::DATE;
