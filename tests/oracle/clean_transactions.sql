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
    net_amount,
    currency(cents) AS revenue,
    price_category,
    year(day) AS "year",
    month(day) AS "month",
    quarter(day) AS "quarter",
    isodow(day) - 1 AS day_of_week,
    order_id,
    line_total /* further */
FROM kept
ORDER BY file, source_row
