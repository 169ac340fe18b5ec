-- One row: the first and the last day with a kept line (null for no data).
SELECT min(day) AS first_day, max(day) AS last_day FROM kept
