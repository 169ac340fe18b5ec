SELECT
    customer_id,
    count(*) FILTER (is_sale) AS lines,
    in_units(sum(sold_parts)) AS units,
    sum(sold_cents) AS revenue_cents,
    count(*) FILTER (is_returned) AS returned_lines,
    in_units(sum(returned_parts)) AS returned_units,
    sum(returned_cents) AS returned_revenue_cents,
    coalesce(sum(millionths), 0)::BIGINT / 1e6 AS rating_sum,
    count(millionths) AS rating_count,
    min("timestamp") FILTER (is_sale) AS first_purchase,
    max("timestamp") FILTER (is_sale) AS last_purchase,
    coalesce(list_sort(list(DISTINCT region) FILTER (is_sale)), []) AS regions,
    coalesce(list_sort(list(DISTINCT product_category) FILTER (is_sale)), [])
        AS product_categories,
    coalesce(list_sort(list(DISTINCT month) FILTER (is_sale)), []) AS months,
    count(DISTINCT order_id) FILTER (is_sale) AS orders
FROM kept
WHERE customer_id IS NOT NULL
GROUP BY customer_id
ORDER BY customer_id
