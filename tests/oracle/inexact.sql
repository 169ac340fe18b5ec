-- Does a total reach what float64 does not hold exactly? All sums here are HUGEINT.
WITH groups AS (
    SELECT
        sum(millionths) AS millionths,
        sum(sold_parts) AS sold_parts,
        sum(returned_parts) AS returned_parts
    FROM kept
    GROUP BY day, region, product_category
    UNION ALL
    SELECT sum(millionths), sum(sold_parts), sum(returned_parts)
    FROM kept
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
    UNION ALL
    SELECT NULL, sum(sold_parts), sum(returned_parts)
    FROM kept
    WHERE order_id IS NOT NULL
    GROUP BY order_id, customer_id
)
SELECT
    coalesce(max(greatest(
        (SELECT sum(sold_cents) FROM kept),
        (SELECT sum(returned_cents) FROM kept),
        (SELECT sum(sold_parts) FROM kept),
        (SELECT sum(returned_parts) FROM kept),
        (SELECT sum(millionths) FROM kept),
        4 * millionths, -- as floats in a table they are exact up to 2**51 only
        CASE WHEN getvariable('is_decimal') THEN 4 * sold_parts END,
        CASE WHEN getvariable('is_decimal') THEN 4 * returned_parts END
    )), 0) >= 9_007_199_254_740_992 AS is_inexact
FROM groups
