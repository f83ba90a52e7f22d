"""Renders a chart by Helm's own library: render_chart.py CHART VALUES-AS-JSON. Its files come out as a JSON object."""

import json
import sys

from helm_python import Chart

chart, values = sys.argv[1:3]
print(json.dumps(Chart.load(chart).render(json.loads(values), name="observer", namespace="observer")))
