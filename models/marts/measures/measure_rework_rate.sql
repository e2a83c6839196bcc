{{ rate_of_visits('rework_rate', 'reworks') }}
