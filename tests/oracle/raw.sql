-- Every row of one raw file, in its order, with the types of the contract; those of ids
-- and quantity depend on all files. From here on moments are in UTC, without a zone.
SELECT
    {number} AS file,
    file_row_number AS source_row,
    -- NaN is no number.
    TRY_CAST(transaction_id AS {transaction_id}) AS transaction_id,
    TRY_CAST(customer_id AS {customer_id}) AS customer_id,
    product_category::VARCHAR AS product_category,
    region::VARCHAR AS region,
    amount::DOUBLE AS amount,
    quantity::{quantity} AS quantity,
    discount::DOUBLE AS discount,
    make_timestamp(epoch_us("timestamp"::TIMESTAMPTZ)) AS "timestamp",
    rating::DOUBLE AS rating,
    is_returned::BOOLEAN AS is_returned{further}
FROM read_parquet(getvariable('files')[{number}], file_row_number = true)
