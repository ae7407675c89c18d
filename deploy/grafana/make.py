"""Makes dashboards/*.json. Change what stands in panels.py, then run it:  python3 deploy/grafana/make.py

With --check it changes nothing and exits 1 where a file is old.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
from panels import DASHBOARDS, TITLES  # noqa: E402

FOLDER = HERE / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}
HEIGHT = {"stat": 5}


def options(kind: str) -> dict:
    """What Grafana needs to know of a panel's kind."""
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match kind:
        case "timeseries":
            return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
        case "stat":
            return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
        case "bargauge":
            return {"reduceOptions": reduced, "displayMode": "gradient", "orientation": "horizontal", "showUnfilled": True}
        case "heatmap":
            return {"calculate": False, "yAxis": {"unit": "s"}, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64}}
    raise ValueError(f"there is no panel of kind {kind}")


def panel(number: int, row: int, column: int, count: int, what) -> dict:
    title, text, kind, unit, queries = what
    width = 24 // count
    made = {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": column * width, "y": row, "w": width, "h": HEIGHT.get(kind, 8)},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": options(kind),
        "targets": [
            {"refId": chr(65 + at), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            | ({"format": "heatmap"} if kind == "heatmap" else {})
            | ({"instant": True} if kind == "bargauge" else {})
            for at, (query, legend) in enumerate(queries)
        ],
    }
    defaults = made["fieldConfig"]["defaults"]
    if text:
        made["description"] = text
    if kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}
        defaults["min"] = 0
    if kind == "bargauge" and unit == "percentunit":
        defaults |= {"min": 0, "max": 1}
    return made


def panels(rows) -> list[dict]:
    made, number, top = [], 0, 0
    for title, row in rows:
        number += 1
        made.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        top += 1
        for column, what in enumerate(row):
            number += 1
            made.append(panel(number, top, column, len(row), what))
        top += max(one["gridPos"]["h"] for one in made[-len(row) :])
    return made


def variables() -> list[dict]:
    instance = {"query": "label_values(weir_build_info, instance)", "refId": "instance"}
    every = {"includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "refresh": 2}
    return [
        {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {"name": "instance", "label": "Instance", "type": "query", "datasource": SOURCE, "query": instance} | every,
    ]


def dashboard(name: str) -> dict:
    link = {"title": "weir", "type": "dashboards", "tags": ["weir"], "asDropdown": True, "keepTime": True, "includeVars": True}
    link |= {"icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}
    return {
        "uid": f"weir-{name}",
        "title": f"weir: {TITLES[name]}",
        "tags": ["weir"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [link],
        "templating": {"list": variables()},
        "panels": panels(DASHBOARDS[name]),
    }


def main() -> int:
    old = 0
    for name in DASHBOARDS:
        file, text = FOLDER / f"{name}.json", json.dumps(dashboard(name), indent=2) + "\n"
        if "--check" not in sys.argv:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            old = 1
            print(f"{file} is old; run {__file__}")
    return old


if __name__ == "__main__":
    sys.exit(main())
