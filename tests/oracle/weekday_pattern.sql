WITH calendar AS (
    SELECT unnest(generate_series(first_day, last_day, INTERVAL 1 DAY))::DATE AS day
    FROM period
),
days AS (
    SELECT isodow(day) - 1 AS day_of_week, count(*) AS calendar_days
    FROM calendar
    GROUP BY day_of_week
),
sold AS (
    SELECT
        isodow(day) - 1 AS day_of_week,
        count(*) FILTER (is_sale) AS lines,
        sum(net_cents) AS net_cents
    FROM kept
    GROUP BY day_of_week
),
week AS (
    SELECT
        unnest(range(7)) AS day_of_week,
        (SELECT currency(sum(net_cents)) FROM sold)
        / (SELECT sum(calendar_days) FROM days) AS mean_of_all
    FROM period
    WHERE first_day IS NOT NULL
)
SELECT
    day_of_week,
    coalesce(calendar_days, 0) AS calendar_days,
    coalesce(lines, 0) AS lines,
    currency(coalesce(net_cents, 0)) AS net_revenue,
    ratio(currency(coalesce(net_cents, 0)), calendar_days) AS mean_revenue_per_day,
    ratio(mean_revenue_per_day, mean_of_all) AS index_to_mean
FROM week
LEFT JOIN days USING (day_of_week)
LEFT JOIN sold USING (day_of_week)
ORDER BY day_of_week
