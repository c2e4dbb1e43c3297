"""The report of a store: statistics, figures and the HTML page. It reads frames and never runs anything."""
