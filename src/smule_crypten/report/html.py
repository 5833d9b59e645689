"""report.html: one run on one self-contained page that needs no network and no script."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from smule_crypten.files import write_text
from smule_crypten.report import html_sections as sections
from smule_crypten.report import phrases
from smule_crypten.report.html_markup import banner, paragraph
from smule_crypten.report.html_metrics import metrics
from smule_crypten.report.html_page import page
from smule_crypten.report.run_records import RunRecord, RunSummary
from smule_crypten.report.summary import build_summary

REPORT_FILE = "report.html"

_CONTENTS = {
    "result": "Result",
    "controls": "Controls",
    "metrics": "Metrics",
    "curves": "Learning",
    "communication": "Communication",
    "fidelity": "Fidelity",
    "data": "Data",
    "disclosures": "Disclosures",
    "configuration": "Configuration",
    "environment": "Environment",
    "reading": "How to read this",
}

_READING_HTML = """\
<section id="reading">
<h2>How to read this</h2>
<dl class="notes">
<dt>Alone, SMuLe, pooled</dt>
<dd>“Alone” is the same network trained by the party on its own data only. “SMuLe” adds the other party’s soft labels,
obtained by secure inference. “Pooled” is party a’s network trained on the data of both parties in one place, which is
what the parties avoid; it shows what there is to gain. All are measured on test samples. “Alone” and “SMuLe” are those
of the network that was kept: with <code>training.keep=best</code> and a validation part the latest one that is not
clearly worse there than the best one, which may be the network trained alone; otherwise the one after the last epoch.
“Pooled” and the controls are measured after the last epoch.</dd>
<dt>Controls</dt>
<dd>What a party can do without the other one, with the same network, data, schedule and number of steps. “Label
smoothing” mixes a tenth of the uniform distribution into the labels. “Self mutual” trains two copies of the network,
which teach each other. “Self distillation” learns from the party’s own finished network, on labelled samples and on
the unlabelled pool. The best control is the best of these and alone, picked by its test figure, which favours it:
what SMuLe gains over it is what the other party knows, and not regularization.</dd>
<dt>Intervals</dt>
<dd>95 %, by the percentiles of a bootstrap over the test samples, whatever their class: what other test samples of the
same kind would change. They say nothing of what another seed would change: repeat the run with others before trusting a
small difference.</dd>
<dt>Gain</dt>
<dd>Over the best control, in percentage points of shares, above 0 where SMuLe is better. Both networks are measured on
the same samples in each resample. “No clear gain” stands where the interval includes zero.</dd>
<dt>Metrics</dt>
<dd>Of two classes AUROC, AUPRC, sensitivity, specificity and calibration are about class 1, and sensitivity and
specificity are those at the threshold of Youden’s index on the validation part. Of more classes they are means over the
classes, each against the others. Recall, precision, F1 and confusions are those of the most probable class; of several
labels, of each label from its threshold of the best F1 on the validation part on. The calibration error is the mean
distance between the said probability and what was true, in 15 bins of equal width.</dd>
<dt>Query</dt>
<dd>One sample about which a party asks the other’s network.</dd>
<dt>Bytes and rounds</dt>
<dd>Payload between the two parties in both directions, in decimal units (1 MB = 1,000,000 bytes). The bytes of an epoch
are those of its exchange; the total also holds the handshake and the keys. What comes from a dealer is counted apart.
A round is a message that the next step has to wait for.</dd>
<dt>Fidelity</dt>
<dd>Secure inference calculates in fixed point. The largest logit error is the largest distance of any secure logit from
the one that plain PyTorch computes; top-1 agreement is how often both predict the same class.</dd>
<dt>Who may see this page</dt>
<dd>$readers</dd>
</dl>
</section>
"""

_READERS_OF_SIMULATION = """\
It was written by a simulation that sees both sides, and shows the class counts and settings of both parties."""

_READERS_OF_PARTY = """\
It was written by party $party from its own record, and shows its class counts, its settings and its addresses. The
other party has a page of its own; what only that one can know is a dash here."""


def write_report(run_dir: Path, record: RunRecord) -> Path:
    """Write report.html for a record, complete or partial, and return its path. A party's own is for its owner alone.

    Raises:
        OutputError: the folder cannot be written; an earlier report stays as it was.
    """
    path = run_dir / REPORT_FILE
    write_text(path, render_report(record), public=record.facts.recorded_by is None)
    return path


def render_report(record: RunRecord) -> str:
    summary = build_summary(record)
    body = "".join(
        [
            _banners(summary),
            _navigation(),
            sections.result(summary),
            sections.controls(summary),
            metrics(summary),
            sections.curves(record),
            sections.communication(record, summary),
            sections.fidelity(record, summary),
            sections.data_split(record),
            sections.disclosures(record),
            sections.configuration(record),
            sections.environment(record),
            _reading(record),
        ]
    )
    return page(f"SMuLe {record.facts.run_id}", "Secure mutual learning", _subtitle(record, summary), body)


def _reading(record: RunRecord) -> str:
    if record.facts.recorded_by is None:
        readers = _READERS_OF_SIMULATION
    else:
        readers = Template(_READERS_OF_PARTY).substitute(party=escape(record.facts.recorded_by))
    return Template(_READING_HTML).substitute(readers=readers)


def _subtitle(record: RunRecord, summary: RunSummary) -> str:
    facts = [
        f"run {record.facts.run_id}",
        summary.status,
        f"data {record.data}",
        f"scheme {summary.scheme}",
        *([f"provider {summary.provider}"] if summary.provider else []),
        f"{summary.epochs} epochs",
        f"seed {summary.seed}",
    ]
    return " · ".join(facts)


def _banners(summary: RunSummary) -> str:
    notice = phrases.insecurity_notice(summary.insecure_choices)
    attack, success = phrases.attack_notice(summary.attack), phrases.attack_success(summary.attack)
    whose = phrases.whose_record(summary.recorded_by)
    alarms, failure = phrases.alarms(summary.parties), phrases.failure(summary.status, summary.error)
    banners = [
        paragraph(f"{whose.capitalize()}.") if whose else "",
        banner("warn", f"{notice}.", "Accuracy and cost are real, security is not.") if notice else "",
        banner("warn", f"{attack}.", f"Attack success: {success or 'not aimed at a class'}.") if attack else "",
        banner("bad", "Alarm: answers that an honest peer does not give.", alarms) if alarms else "",
        banner("bad", "This run is not complete.", failure) if failure else "",
    ]
    return "".join(banners)


def _navigation() -> str:
    links = (f'<a href="#{escape(anchor)}">{escape(title)}</a>' for anchor, title in _CONTENTS.items())
    return f"<nav>{''.join(links)}</nav>\n"
