WITH measured AS (
    SELECT
        customer_id,
        (
            epoch_us(list_max(getvariable('moments')))
            - epoch_us(max("timestamp") FILTER (is_sale))
        )
        // 86_400_000_000 AS recency_days,
        CASE
            WHEN getvariable('has_orders') THEN count(DISTINCT order_id) FILTER (is_sale)
            ELSE count(*) FILTER (is_sale)
        END AS frequency,
        sum(net_cents) AS net_cents
    FROM kept
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
    HAVING bool_or(is_sale)
),
-- rank() - 1 is the number of customers that are strictly worse.
ranked AS (
    SELECT
        *,
        count(*) OVER () AS n,
        rank() OVER (ORDER BY recency_days DESC) - 1 AS worse_recency,
        rank() OVER (ORDER BY frequency) - 1 AS worse_frequency,
        rank() OVER (ORDER BY net_cents) - 1 AS worse_monetary
    FROM measured
),
scored AS (
    SELECT
        *,
        1 + (5 * worse_recency) // n AS recency_score,
        1 + (5 * worse_frequency) // n AS frequency_score,
        1 + (5 * worse_monetary) // n AS monetary_score
    FROM ranked
)
SELECT
    customer_id,
    recency_days,
    frequency,
    currency(net_cents) AS monetary,
    recency_score,
    frequency_score,
    monetary_score,
    (
        SELECT arg_min(segment, position)
        FROM segment_rules
        WHERE list_contains(segment_rules.recency, recency_score)
            AND list_contains(segment_rules.frequency, frequency_score)
            AND list_contains(segment_rules.monetary, monetary_score)
    ) AS segment
FROM scored
ORDER BY customer_id
