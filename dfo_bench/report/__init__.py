"""What a store says: statistics, figures and the HTML page. It reads frames and never runs anything."""
