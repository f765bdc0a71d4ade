"""The series and windows of the reference workload, as a configuration has them."""

SERIES = """[series.idx]
table = "m1_{key}"
time = "time"
value = "rate_index"
features = "reg_rate_{key}_{yyyy}_{mm}"
[series.bqx]
table = "bqx_{key}"
time = "ts_utc"
value = "w15_bqx_return"
features = "reg_bqx_{key}_{yyyy}_{mm}"
[windows]
w15 = 15
w30 = 30
w45 = 45
w60 = 60
w75 = 75
agg = 90
"""
