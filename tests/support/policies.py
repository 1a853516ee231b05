"""Policies that several tests need."""

HEAD = """\
version = 1
[purposes.delivery]
title = "Delivery of goods"
[purposes.payment]
title = "Payment"
[purposes.support]
title = "Support"
[retention.contract]
period = "P5Y"
starts = "end of the contract"
"""
"""Purposes and a retention class; the fields come behind it."""

PHONES_ENCRYPTED = (
    HEAD
    + """\
[[fields]]
match = ["*.phone"]
purposes = ["delivery"]
retention = "contract"
"""
)
