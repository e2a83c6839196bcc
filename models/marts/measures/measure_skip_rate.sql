{{ rate_of_visits('skip_rate', 'skips') }}
