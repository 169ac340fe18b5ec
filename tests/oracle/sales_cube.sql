SELECT
    day,
    region,
    product_category,
    count(*) FILTER (is_sale) AS lines,
    in_units(sum(sold_parts)) AS units,
    sum(sold_cents) AS revenue_cents,
    count(*) FILTER (is_returned) AS returned_lines,
    in_units(sum(returned_parts)) AS returned_units,
    sum(returned_cents) AS returned_revenue_cents,
    coalesce(sum(millionths), 0)::BIGINT / 1e6 AS rating_sum,
    count(millionths) AS rating_count
FROM kept
GROUP BY day, region, product_category
ORDER BY day, region, product_category
