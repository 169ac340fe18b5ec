SELECT
    day,
    region,
    product_category,
    count(*) AS lines,
    in_units(sum(parts)) AS units,
    sum(cents) AS revenue_cents,
    count(*) FILTER (is_returned) AS returned_lines,
    sum(returned_cents) AS returned_revenue_cents,
    coalesce(sum(millionths), 0)::BIGINT / 1e6 AS rating_sum,
    count(rating) AS rating_count
FROM kept
GROUP BY day, region, product_category
ORDER BY day, region, product_category
