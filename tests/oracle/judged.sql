-- Every raw row with the rules it broke, in the order of the rules.
WITH numbers AS (
    -- Not while the files are read: their statistics make isnan(…) false for good.
    SELECT
        * REPLACE (
            unless_nan(amount) AS amount,
            unless_nan(quantity) AS quantity,
            unless_nan(discount) AS discount,
            unless_nan(rating) AS rating,
            unless_nan(line_total) AS line_total
        ),
        finite(amount) AS price,
        finite(quantity)::DOUBLE AS units,
        finite(discount) AS cut,
        finite(rating) AS stars,
        finite(line_total) AS total
    FROM raw
),
checked AS (
    SELECT
        *,
        list_filter(
            [
                CASE WHEN is_blank(transaction_id) THEN 'missing_transaction_id' END,
                CASE WHEN is_blank(customer_id) THEN 'missing_customer_id' END,
                CASE WHEN "timestamp" IS NULL THEN 'missing_timestamp' END,
                CASE WHEN price IS NULL THEN 'missing_amount' END,
                CASE WHEN units IS NULL THEN 'missing_quantity' END,
                CASE WHEN price <= 0 THEN 'non_positive_amount' END,
                CASE
                    WHEN units = 0 OR (units < 0 AND NOT getvariable('has_return_lines'))
                        THEN 'non_positive_quantity'
                END,
                CASE WHEN cut < 0 OR cut > 1 THEN 'discount_out_of_range' END,
                CASE WHEN stars < 1 OR stars > 5 THEN 'rating_out_of_range' END,
                CASE
                    WHEN abs(price) > getvariable('most_amount')
                        OR abs(units) > getvariable('most_quantity')
                        OR is_too_fine(units)
                        OR abs(price * units * getvariable('cents_of_unit'))
                            >= 2::DOUBLE ** 53
                        OR "timestamp" < getvariable('earliest')
                        OR (
                            getvariable('has_totals')
                            AND (
                                abs(total * getvariable('cents_of_unit'))
                                >= 2::DOUBLE ** 53
                                OR (total < 0 AND units > 0)
                                OR (total > 0 AND units < 0)
                            )
                        )
                        THEN 'value_out_of_range'
                END,
                CASE
                    WHEN "timestamp" > getvariable('moments')[file] THEN 'future_timestamp'
                END
            ],
            lambda rule: rule IS NOT NULL
        ) AS broken
    FROM numbers
),
excused AS (
    SELECT
        *,
        list_filter(
            broken,
            lambda rule: NOT list_contains(getvariable('blanking') || getvariable('keeping'), rule)
                OR (rule = 'non_positive_amount' AND price < 0)
        ) AS rejecting
    FROM checked
),
numbered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY transaction_id, len(rejecting) = 0
            ORDER BY file, source_row
        ) > 1 AND len(rejecting) = 0 AS is_copy
    FROM excused
)
SELECT
    * EXCLUDE (rejecting, is_copy) REPLACE (
        CASE
            WHEN is_copy THEN list_append(broken, 'duplicate_transaction_id')
            ELSE broken
        END AS broken
    ),
    CASE WHEN is_copy THEN ['duplicate_transaction_id'] ELSE rejecting END AS reasons
FROM numbered
