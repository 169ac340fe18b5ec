WITH members AS (
    SELECT
        segment,
        recency_days,
        frequency,
        net_cents
    FROM customer_segments
    JOIN (
        SELECT customer_id, sum(net_cents) AS net_cents FROM kept GROUP BY customer_id
    ) USING (customer_id)
)
SELECT
    segment,
    count(*) AS customers,
    ratio(count(*), (SELECT count(*) FROM members)) AS customer_share,
    currency(sum(net_cents)) AS net_revenue,
    ratio(sum(net_cents), (SELECT sum(net_cents) FROM members)) AS net_revenue_share,
    ratio(sum(recency_days), count(*)) AS average_recency_days,
    ratio(sum(frequency), count(*)) AS average_frequency,
    currency(sum(net_cents)) / count(*) AS average_monetary
FROM members
GROUP BY segment
ORDER BY segment
