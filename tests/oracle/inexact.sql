-- Does a total reach what float64 does not hold exactly? All sums here are HUGEINT.
WITH groups AS (
    SELECT sum(millionths) AS millionths, sum(parts) AS parts
    FROM kept
    GROUP BY GROUPING SETS ((customer_id), (day, region, product_category))
)
SELECT
    coalesce(max(greatest(
        (SELECT sum(cents) FROM kept),
        (SELECT sum(parts) FROM kept),
        (SELECT sum(millionths) FROM kept),
        4 * millionths, -- as floats in a table they are exact up to 2**51 only
        CASE WHEN getvariable('is_decimal') THEN 4 * parts END
    )), 0) >= 9_007_199_254_740_992 AS is_inexact
FROM groups
