SELECT
    transaction_id,
    customer_id,
    product_category,
    region,
    amount,
    quantity,
    discount,
    "timestamp",
    rating,
    is_returned,
    reasons,
    getvariable('names')[file] AS source_file,
    source_row,
    order_id,
    line_total /* further */
FROM judged
WHERE len(reasons) > 0
ORDER BY file, source_row
