WITH measured AS (
    SELECT
        product_category,
        count(*) FILTER (is_sale) AS lines,
        in_units(sum(sold_parts)) AS units,
        in_units(sum(returned_parts)) AS returned_units,
        currency(sum(sold_cents)) AS revenue,
        currency(sum(returned_cents)) AS returned_revenue,
        currency(sum(net_cents)) AS net_revenue,
        ratio(sum(net_cents), (SELECT sum(net_cents) FROM kept)) AS net_revenue_share,
        ratio(currency(sum(net_cents)), count(*) FILTER (is_sale))
            AS average_line_revenue,
        count(DISTINCT customer_id) FILTER (is_sale) AS unique_customers,
        ratio(count(*) FILTER (is_returned), count(*) FILTER (is_sale))
            AS return_rate_lines,
        ratio(sum(returned_cents), sum(sold_cents)) AS return_rate_value,
        ratio(sum(millionths) / 1e6, count(millionths)) AS average_rating,
        sum(net_cents) AS net_cents
    FROM kept
    GROUP BY product_category
)
SELECT
    * EXCLUDE (net_cents),
    rank() OVER (ORDER BY net_cents DESC) AS "rank",
    ratio(
        sum(net_cents) OVER (
            ORDER BY net_cents DESC, product_category
            ROWS UNBOUNDED PRECEDING
        ),
        sum(net_cents) OVER ()
    ) AS cumulative_share
FROM measured
ORDER BY "rank", product_category
