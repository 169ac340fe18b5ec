WITH calendar AS (
    SELECT unnest(generate_series(first_day, last_day, INTERVAL 1 DAY))::DATE AS day
    FROM period
),
sold AS (
    SELECT
        day,
        count(*) FILTER (is_sale) AS lines,
        in_units(sum(sold_parts)) AS units,
        in_units(sum(returned_parts)) AS returned_units,
        sum(sold_cents) AS cents,
        sum(returned_cents) AS returned_cents,
        sum(net_cents) AS net_cents
    FROM kept
    GROUP BY day
),
filled AS (
    SELECT
        day,
        coalesce(lines, 0) AS lines,
        coalesce(units, 0) AS units,
        coalesce(returned_units, 0) AS returned_units,
        coalesce(cents, 0) AS cents,
        coalesce(returned_cents, 0) AS returned_cents,
        coalesce(net_cents, 0) AS net_cents
    FROM calendar
    LEFT JOIN sold USING (day)
)
SELECT
    day,
    lines,
    units,
    returned_units,
    currency(cents) AS revenue,
    currency(returned_cents) AS returned_revenue,
    currency(net_cents) AS net_revenue,
    CASE
        WHEN count(*) OVER week = 7 THEN currency(sum(net_cents) OVER week) / 7
    END AS moving_average_7,
    CASE
        WHEN count(*) OVER weeks = 28 THEN currency(sum(net_cents) OVER weeks) / 28
    END AS moving_average_28
FROM filled
WINDOW
    week AS (ORDER BY day ROWS 6 PRECEDING),
    weeks AS (ORDER BY day ROWS 27 PRECEDING)
ORDER BY day
