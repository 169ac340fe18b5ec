SELECT
    customer_id,
    count(*) AS lines,
    in_units(sum(parts)) AS units,
    sum(cents) AS revenue_cents,
    count(*) FILTER (is_returned) AS returned_lines,
    sum(returned_cents) AS returned_revenue_cents,
    coalesce(sum(millionths), 0)::BIGINT / 1e6 AS rating_sum,
    count(rating) AS rating_count,
    min("timestamp") AS first_purchase,
    max("timestamp") AS last_purchase,
    list_sort(list(DISTINCT region)) AS regions,
    list_sort(list(DISTINCT product_category)) AS product_categories,
    list_sort(list(DISTINCT month)) AS months
FROM kept
GROUP BY customer_id
ORDER BY customer_id
