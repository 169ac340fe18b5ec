-- One row per source file, also for files without rows.
WITH files AS (
    SELECT unnest(range(1, len(getvariable('files')) + 1)) AS file
),
broken AS (
    SELECT file, unnest(broken) AS rule FROM judged
),
by_rule AS (
    SELECT
        file,
        count(*) FILTER (rule = 'missing_transaction_id') AS missing_transaction_id,
        count(*) FILTER (rule = 'missing_customer_id') AS missing_customer_id,
        count(*) FILTER (rule = 'missing_timestamp') AS missing_timestamp,
        count(*) FILTER (rule = 'missing_amount') AS missing_amount,
        count(*) FILTER (rule = 'missing_quantity') AS missing_quantity,
        count(*) FILTER (rule = 'non_positive_amount') AS non_positive_amount,
        count(*) FILTER (rule = 'non_positive_quantity') AS non_positive_quantity,
        count(*) FILTER (rule = 'discount_out_of_range') AS discount_out_of_range,
        count(*) FILTER (rule = 'rating_out_of_range') AS rating_out_of_range,
        count(*) FILTER (rule = 'value_out_of_range') AS value_out_of_range,
        count(*) FILTER (rule = 'future_timestamp') AS future_timestamp,
        count(*) FILTER (rule = 'duplicate_transaction_id') AS duplicate_transaction_id
    FROM broken
    GROUP BY file
),
rows_of AS (
    SELECT
        file,
        count(*) AS rows_read,
        count(*) FILTER (len(reasons) = 0) AS rows_kept,
        count(*) FILTER (len(reasons) > 0) AS rows_rejected,
        count(*) FILTER (
            len(reasons) = 0 AND list_has_any(broken, getvariable('blanking'))
        ) AS rows_blanked,
        count(*) FILTER (
            len(reasons) = 0 AND list_has_any(broken, getvariable('keeping'))
        ) AS rows_excused
    FROM judged
    GROUP BY file
)
SELECT
    getvariable('names')[file] AS source_file,
    coalesce(columns(rows_of.* EXCLUDE (file)), 0),
    coalesce(columns(by_rule.* EXCLUDE (file)), 0),
    getvariable('moments')[file] AS as_of
FROM files
LEFT JOIN rows_of USING (file)
LEFT JOIN by_rule USING (file)
ORDER BY file
