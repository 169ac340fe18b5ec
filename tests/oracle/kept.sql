-- The rows that no rule rejects, filled in, with the features; money also in cents.
WITH filled AS (
    SELECT
        * REPLACE (
            CASE WHEN NOT is_blank(customer_id) THEN customer_id END AS customer_id,
            CASE WHEN NOT is_blank(order_id) THEN order_id END AS order_id,
            coalesce(product_category, 'Unknown') AS product_category,
            coalesce(region, 'Unknown') AS region,
            as_quantity(units) AS quantity,
            -- What is out of range here was not rejected, so it is blanked.
            CASE WHEN cut BETWEEN 0 AND 1 THEN cut ELSE 0 END AS discount,
            CASE WHEN stars BETWEEN 1 AND 5 THEN stars END AS rating,
            total AS line_total,
            CASE
                WHEN getvariable('has_return_lines') THEN units < 0
                ELSE coalesce(is_returned, false)
            END AS is_returned
        )
    FROM judged
    WHERE len(reasons) = 0
),
valued AS (
    SELECT
        *,
        getvariable('has_totals') AND line_total IS NOT NULL AS is_total,
        CASE
            WHEN is_total THEN line_total / quantity
            ELSE amount * (1 - discount)
        END AS net_amount,
        CASE
            WHEN is_total THEN rint(line_total * getvariable('cents_of_unit'))
            ELSE rint(
                amount * (1 - discount) * quantity * getvariable('cents_of_unit')
            )
        END::BIGINT AS cents
    FROM filled
)
SELECT
    *,
    quantity > 0 AS is_sale,
    CASE WHEN is_sale THEN cents ELSE 0 END AS sold_cents,
    CASE WHEN is_returned THEN abs(cents) ELSE 0 END AS returned_cents,
    sold_cents - returned_cents AS net_cents,
    CASE WHEN is_sale THEN rint(rating * 1e6)::BIGINT END AS millionths,
    CASE WHEN is_sale THEN parts_of(quantity) ELSE 0 END AS sold_parts,
    CASE WHEN is_returned THEN abs(parts_of(quantity)) ELSE 0 END AS returned_parts,
    CASE
        WHEN amount <= getvariable('price_bounds')[1] THEN 'Low'
        WHEN amount <= getvariable('price_bounds')[2] THEN 'Medium'
        WHEN amount <= getvariable('price_bounds')[3] THEN 'High'
        ELSE 'Premium'
    END AS price_category,
    local("timestamp")::DATE AS day,
    month_of(day) AS month
FROM valued
