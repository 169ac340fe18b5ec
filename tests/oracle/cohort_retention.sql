WITH active AS (
    SELECT DISTINCT customer_id, month FROM kept
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
        month_of(last_day) AS last_month,
        unnest(range(datediff('month', first_day, last_day) + 1)) AS months_since
    FROM sizes, period
),
filled AS (
    SELECT
        cohort,
        months_since,
        cohort_size,
        CASE
            WHEN months_since <= datediff('month', cohort, last_month)
                THEN coalesce(counted.active_customers, 0)
        END AS active_customers
    FROM grid
    LEFT JOIN counted USING (cohort, months_since)
)
SELECT *, ratio(active_customers, cohort_size) AS retention
FROM filled
ORDER BY cohort, months_since
