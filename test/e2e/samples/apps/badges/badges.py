"""In the form of Modal's sample Badges. The module `pypistats` beside it stands for the package, which asks PyPI."""

import postern as modal

image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]", "pybadges", "setuptools<81")

app = modal.App("example-badges", image=image)


@app.function()
@modal.fastapi_endpoint()
async def package_downloads(package_name: str):
    import json

    import pypistats
    from fastapi import Response
    from pybadges import badge

    stats = json.loads(pypistats.recent(package_name, format="json"))
    svg = badge(
        left_text=f"{package_name} downloads",
        right_text=str(stats["data"]["last_month"]),
        right_color="blue",
    )

    return Response(content=svg, media_type="image/svg+xml")
