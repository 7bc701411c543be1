"""What a backtest is made of: the rows of the past, the models that would have been made, and their worth.

The rules of a replay stand in `components.monitoring.replaying`; here the components' own functions are asked.
"""
