-- The rows that break no rule, filled in, with the features; money also in cents.
WITH filled AS (
    SELECT
        * REPLACE (
            coalesce(product_category, 'Unknown') AS product_category,
            coalesce(region, 'Unknown') AS region,
            as_quantity(units) AS quantity,
            coalesce(cut, 0) AS discount,
            stars AS rating,
            coalesce(is_returned, false) AS is_returned
        )
    FROM judged
    WHERE len(reasons) = 0
)
SELECT
    *,
    amount * (1 - discount) AS net_amount,
    rint(amount * (1 - discount) * quantity * 100)::BIGINT AS cents,
    CASE WHEN is_returned THEN cents ELSE 0 END AS returned_cents,
    cents - returned_cents AS net_cents,
    rint(rating * 1e6)::BIGINT AS millionths,
    parts_of(quantity) AS parts,
    CASE
        WHEN amount <= getvariable('price_bounds')[1] THEN 'Low'
        WHEN amount <= getvariable('price_bounds')[2] THEN 'Medium'
        WHEN amount <= getvariable('price_bounds')[3] THEN 'High'
        ELSE 'Premium'
    END AS price_category,
    "timestamp"::DATE AS day,
    month_of("timestamp"::DATE) AS month
FROM filled
