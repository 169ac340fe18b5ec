-- Every raw row, in raw order (file, source_row), with the types of the contract but
-- for the ids and the quantity, which keep theirs. From here on moments are in UTC,
-- without a zone.
SELECT
    list_position(getvariable('files'), filename) AS file,
    file_row_number AS source_row,
    transaction_id,
    customer_id,
    product_category::VARCHAR AS product_category,
    region::VARCHAR AS region,
    unless_nan(amount::DOUBLE) AS amount,
    unless_nan(quantity) AS quantity,
    unless_nan(discount::DOUBLE) AS discount,
    make_timestamp(epoch_us("timestamp"::TIMESTAMPTZ)) AS "timestamp",
    unless_nan(rating::DOUBLE) AS rating,
    is_returned::BOOLEAN AS is_returned
FROM read_parquet(
    getvariable('files'),
    union_by_name = true,
    filename = true,
    file_row_number = true,
    hive_partitioning = false
)
