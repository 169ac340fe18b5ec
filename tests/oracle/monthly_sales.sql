-- "Complete" asks whether the data span the month, not whether every day sold something.
WITH months AS (
    SELECT
        unnest(
            generate_series(month_of(first_day), month_of(last_day), INTERVAL 1 MONTH)
        )::DATE AS month
    FROM period
),
calendar AS (
    SELECT
        month,
        month >= first_day AND last_day(month) <= period.last_day AS is_complete
    FROM months, period
),
-- A group is one category, or all of them.
labelled AS (
    SELECT
        {'total': false, 'name': product_category} AS sold_as,
        month, is_sale, sold_parts, returned_parts, sold_cents, returned_cents
    FROM kept
    UNION ALL
    SELECT
        {'total': true, 'name': ''},
        month, is_sale, sold_parts, returned_parts, sold_cents, returned_cents
    FROM kept
),
labels AS (
    SELECT DISTINCT sold_as FROM labelled
),
sold AS (
    SELECT
        month,
        sold_as,
        count(*) FILTER (is_sale) AS lines,
        in_units(sum(sold_parts)) AS units,
        in_units(sum(returned_parts)) AS returned_units,
        sum(sold_cents) AS cents,
        sum(returned_cents) AS returned_cents
    FROM labelled
    GROUP BY month, sold_as
),
filled AS (
    SELECT
        month,
        sold_as,
        is_complete,
        coalesce(lines, 0) AS lines,
        coalesce(units, 0) AS units,
        coalesce(returned_units, 0) AS returned_units,
        coalesce(cents, 0) AS cents,
        coalesce(returned_cents, 0) AS returned_cents,
        coalesce(cents - returned_cents, 0) AS net_cents
    FROM calendar
    CROSS JOIN labels
    LEFT JOIN sold USING (month, sold_as)
),
enough AS (
    SELECT count(*) FILTER (is_complete) >= 24 AS enough_data FROM calendar
),
seasons AS (
    SELECT
        sold_as,
        month(month) AS season,
        ratio(sum(net_cents), count(*)) AS mean_of_season
    FROM filled
    WHERE is_complete
    GROUP BY sold_as, season
),
years AS (
    SELECT
        sold_as,
        ratio(sum(net_cents), count(*)) AS mean_of_all
    FROM filled
    WHERE is_complete
    GROUP BY sold_as
)
SELECT
    this.month,
    CASE WHEN NOT this.sold_as.total THEN this.sold_as.name END AS product_category,
    this.sold_as.total AS is_total,
    this.lines,
    this.units,
    this.returned_units,
    currency(this.cents) AS revenue,
    currency(this.returned_cents) AS returned_revenue,
    currency(this.net_cents) AS net_revenue,
    this.is_complete,
    CASE
        WHEN this.is_complete AND before.is_complete
            THEN ratio(this.net_cents, before.net_cents) - 1
    END AS month_on_month,
    CASE
        WHEN this.is_complete AND year_ago.is_complete
            THEN ratio(this.net_cents, year_ago.net_cents) - 1
    END AS year_on_year,
    CASE
        WHEN enough_data THEN ratio(mean_of_season, mean_of_all)
    END AS seasonality_index,
    enough_data
FROM filled AS this
LEFT JOIN filled AS before
    ON before.sold_as = this.sold_as
    AND before.month = (this.month - INTERVAL 1 MONTH)::DATE
LEFT JOIN filled AS year_ago
    ON year_ago.sold_as = this.sold_as
    AND year_ago.month = (this.month - INTERVAL 1 YEAR)::DATE
LEFT JOIN seasons
    ON seasons.sold_as = this.sold_as
    AND seasons.season = month(this.month)
LEFT JOIN years ON years.sold_as = this.sold_as
CROSS JOIN enough
ORDER BY this.month, is_total DESC, product_category
