"""Policies that several tests need."""

PHONES_ENCRYPTED = """\
version = 1
[purposes.delivery]
title = "Delivery"
[retention.contract]
period = "P5Y"
starts = "end of the contract"
[[fields]]
match = ["*.phone"]
purposes = ["delivery"]
retention = "contract"
"""
