WITH active AS (
    SELECT DISTINCT customer_id, month FROM kept
    WHERE is_sale AND customer_id IS NOT NULL
),
born AS (
    SELECT customer_id, min(month) AS cohort FROM active GROUP BY customer_id
),
sizes AS (
    SELECT cohort, count(*) AS cohort_size FROM born GROUP BY cohort
),
counted AS (
    SELECT
        cohort,
        datediff('month', cohort, month) AS months_since,
        count(*) AS active_customers
    FROM active
    JOIN born USING (customer_id)
    GROUP BY ALL
),
grid AS (
    SELECT
        cohort,
        cohort_size,
        first_day,
        last_day,
        unnest(range(datediff('month', first_day, last_day) + 1)) AS months_since
    FROM sizes, period
),
filled AS (
    SELECT
        cohort,
        months_since,
        (cohort + to_months(months_since::INTEGER))::DATE AS month,
        month >= first_day AND last_day(month) <= grid.last_day AS is_complete,
        cohort_size,
        CASE
            WHEN months_since <= datediff('month', cohort, grid.last_day)
                THEN coalesce(counted.active_customers, 0)
        END AS active_customers
    FROM grid
    LEFT JOIN counted USING (cohort, months_since)
)
SELECT * EXCLUDE (month), ratio(active_customers, cohort_size) AS retention
FROM filled
ORDER BY cohort, months_since
