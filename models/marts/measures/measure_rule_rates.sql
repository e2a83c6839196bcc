{{ clustered_rate(ref('int_outcome_clusters'), none, 'reached') }}
