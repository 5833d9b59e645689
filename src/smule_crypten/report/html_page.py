"""The frame of the report: one HTML page with its style, for screen, phone and print, in light and dark."""

from __future__ import annotations

from html import escape
from string import Template

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f7f9; --ink: #1b2126; --muted: #5b6670; --line: #d5dbe1; --accent: #0b62a0;
  --warn-paper: #fff3d6; --warn-line: #c98a00; --bad-paper: #fde5e0; --bad-line: #c0391b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --panel: #1d2329; --ink: #e6eaed; --muted: #9aa6b0; --line: #39424a; --accent: #6db6ee;
    --warn-paper: #352a10; --warn-line: #d9a03a; --bad-paper: #3b1d17; --bad-line: #e0694c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 64rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
header p { max-width: none; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
.muted, figcaption, small { color: var(--muted); }
nav { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
.banner { max-width: none; padding: .7rem 1rem; border-left: .3rem solid; border-radius: .25rem; margin: 1rem 0; }
.banner { overflow-wrap: anywhere; }
.warn { background: var(--warn-paper); border-color: var(--warn-line); }
.bad { background: var(--bad-paper); border-color: var(--bad-line); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.tiles > div { background: var(--panel); border-radius: .5rem; padding: .75rem 1rem; }
.tiles dt { color: var(--muted); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles small { display: block; font-size: .8rem; font-weight: 400; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); gap: .5rem 2rem; }
.columns > * { min-width: 0; }
figure { margin: .75rem 0; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; max-width: 40rem; }
figcaption { font-size: .85rem; }
.scroll { overflow: auto; max-width: 100%; margin: .5rem 0; }
.tall { max-height: 24rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--muted); white-space: nowrap; }
.tall thead th { position: sticky; top: 0; background: var(--paper); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.headline table { font-size: 1rem; }
td:first-child { white-space: nowrap; }
.settings td { overflow-wrap: anywhere; white-space: normal; }
.settings td:first-child { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .85rem; }
dl.notes dt { font-weight: 600; margin-top: .6rem; }
dl.notes dd { margin: 0; max-width: 46rem; }
@media (max-width: 34rem) {
  body { padding: 1rem .9rem 3rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tiles dd { font-size: 1.25rem; }
  th { white-space: normal; }
  th, td { padding-right: .6rem; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --panel: #f5f7f9; --ink: #000; --muted: #444; --line: #bbb; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .tall { max-height: none; }
  .scroll { overflow: visible; }
  table, .headline table { font-size: 8.5pt; }
  th, td { padding-right: .5rem; }
  h2, h3 { break-after: avoid; }
  tr, .tiles > div { break-inside: avoid; }
}
"""

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$heading</h1>
<p class="muted">$subtitle</p>
</header>
<main>
$body</main>
</body>
</html>
""")


def page(title: str, heading: str, subtitle: str, body_html: str) -> str:
    """The whole page. title (of the browser's tab), heading and subtitle are plain text; body_html stays as it is."""
    return _PAGE.substitute(
        title=escape(title), heading=escape(heading), subtitle=escape(subtitle), style=_STYLE, body=body_html
    )
