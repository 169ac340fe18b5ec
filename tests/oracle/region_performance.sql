SELECT
    region,
    count(*) AS lines,
    in_units(sum(parts)) AS units,
    currency(sum(cents)) AS revenue,
    currency(sum(returned_cents)) AS returned_revenue,
    currency(sum(net_cents)) AS net_revenue,
    ratio(sum(net_cents), (SELECT sum(net_cents) FROM kept)) AS net_revenue_share,
    currency(sum(net_cents)) / count(*) AS average_line_revenue,
    count(DISTINCT customer_id) AS unique_customers,
    ratio(count(*) FILTER (is_returned), count(*)) AS return_rate_lines,
    ratio(sum(returned_cents), sum(cents)) AS return_rate_value,
    ratio(sum(millionths) / 1e6, count(rating)) AS average_rating
FROM kept
GROUP BY region
ORDER BY region
