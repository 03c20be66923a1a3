"""Stands for the package, which asks PyPI."""

import json


def recent(package_name: str, format: str) -> str:
    assert format == "json"
    return json.dumps({"data": {"last_month": 1000 * len(package_name)}, "package": package_name})
