"""How the control room looks: light and dark by a class, narrow by another; the contrast of texts is at least 4.5."""

from __future__ import annotations

_LIGHT = (
    "--ink:#16191f;--quiet:#545b64;--line:#d5dbdb;--soft:#f2f3f3;--card:#fff;--bad:#c22b16;--bad-bg:#fdf3f1;"
    "--warn:#8a5300;--warn-bg:#fdf6e7;--good:#1a6e28;--good-bg:#eff7f0;--info:#0b5fad;--info-bg:#eff5fb;"
    "--act:#0b5fad;--on-act:#fff"
)
_DARK = (
    "--ink:#e4e7ea;--quiet:#a9b3bd;--line:#3b4754;--soft:#222d39;--card:#18222d;--bad:#ff9384;--bad-bg:#3b1f1d;"
    "--warn:#f2bd62;--warn-bg:#382b14;--good:#82cf8d;--good-bg:#1a3320;--info:#85bdf4;--info-bg:#172f48;"
    "--act:#85bdf4;--on-act:#0d1926"
)
RULES = f"""
.sh{{{_LIGHT};color:var(--ink);font:13px/1.5 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;
text-align:left}}
.sh-dark{{{_DARK}}}
.sh *{{box-sizing:border-box}}
.sh cwdb-action{{display:none}}
.sh h2{{font-size:14px;font-weight:700;margin:0 0 8px;color:var(--ink)}}
.sh p{{margin:4px 0}}
.sh-count{{color:var(--quiet);font-weight:400;margin-left:6px}}
.sh-tiles{{display:flex;flex-wrap:wrap;gap:8px 28px;align-items:baseline;margin-bottom:12px}}
.sh-tile{{color:var(--quiet)}}
.sh-number{{font-size:22px;line-height:1;font-weight:700;color:var(--ink);margin-right:6px}}
.sh-number.sh-bad{{color:var(--bad)}}.sh-number.sh-warn{{color:var(--warn)}}.sh-number.sh-good{{color:var(--good)}}
.sh-as-of{{color:var(--quiet);margin-left:auto}}
.sh-who{{display:flex;flex-wrap:wrap;gap:8px 16px;margin:0 0 12px}}
.sh-who label{{display:flex;gap:6px;align-items:center;color:var(--quiet);flex:0 1 auto}}
.sh-who input{{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--quiet);border-radius:4px;
padding:3px 8px;width:300px;max-width:100%}}
.sh-main{{display:grid;grid-template-columns:minmax(0,1fr) 350px;gap:12px;align-items:start;margin-bottom:12px}}
.sh-narrow .sh-main{{grid-template-columns:minmax(0,1fr)}}
.sh-column{{display:grid;grid-template-columns:minmax(0,1fr);gap:12px}}
.sh-card{{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:12px 14px;min-width:0}}
.sh-asks{{border-color:var(--warn);border-left-width:4px;margin-bottom:12px}}
.sh-down{{border-color:var(--bad);border-left-width:4px}}
.sh-incident,.sh-waiting,.sh-item{{border-top:1px solid var(--line);padding:10px 0}}
.sh-card h2+.sh-incident,.sh-card h2+.sh-waiting,.sh-card h2+.sh-item{{border-top:0;padding-top:0}}
.sh-incident:last-child,.sh-waiting:last-child,.sh-item:last-child{{padding-bottom:0}}
.sh-head{{display:flex;flex-wrap:wrap;gap:2px 8px;align-items:baseline}}
.sh-name{{overflow-wrap:anywhere}}
.sh-of,.sh-times,.sh-age,.sh-note{{color:var(--quiet)}}
.sh-age{{margin-left:auto;white-space:nowrap}}
.sh-times{{flex-basis:100%}}
.sh-note,.sh-waits{{overflow-wrap:anywhere}}
.sh-calm{{font-size:15px;color:var(--good)}}
.sh-badge{{display:inline-block;border:1px solid currentColor;border-radius:4px;padding:0 6px;font-size:11px;
line-height:17px;font-weight:600;white-space:nowrap;color:var(--quiet)}}
.sh-badge.sh-bad{{color:var(--bad);background:var(--bad-bg)}}
.sh-badge.sh-warn{{color:var(--warn);background:var(--warn-bg)}}
.sh-badge.sh-good{{color:var(--good);background:var(--good-bg)}}
.sh-badge.sh-info{{color:var(--info);background:var(--info-bg)}}
.sh svg{{display:block;max-width:100%;height:auto;margin:8px 0 4px}}
.sh-buttons{{display:flex;flex-wrap:wrap;gap:6px 8px;align-items:center;margin-top:6px}}
.sh .sh-btn{{display:inline-block;cursor:pointer;border:1px solid var(--act);border-radius:14px;padding:2px 14px;
font:inherit;font-weight:600;color:var(--act);background:transparent;text-decoration:none}}
.sh .sh-btn:hover{{background:var(--soft)}}
.sh .sh-btn-primary{{background:var(--act);color:var(--on-act)}}
.sh .sh-btn-primary:hover{{background:var(--act);opacity:.88}}
.sh .sh-btn-danger{{color:var(--bad);border-color:var(--bad)}}
.sh .sh-btn-small{{padding:0 10px;font-size:12px}}
.sh code{{font-size:11px;color:var(--quiet);background:none;overflow-wrap:anywhere}}
.sh-incident .sh-buttons code{{margin-left:auto}}
.sh details{{margin-top:8px}}
.sh summary{{cursor:pointer;color:var(--quiet)}}
.sh-scroll{{overflow-x:auto}}
.sh table{{border-collapse:collapse;width:100%;font-size:12.5px;background:none}}
.sh th{{text-align:left;font-weight:600;color:var(--quiet);border-bottom:1px solid var(--line);padding:3px 12px 3px 0;
white-space:nowrap;background:none}}
.sh td{{border-bottom:1px solid var(--line);padding:5px 12px 5px 0;vertical-align:top;background:none;
overflow-wrap:anywhere;min-width:60px}}
.sh tr:last-child td{{border-bottom:0}}
.sh-figure{{font-variant-numeric:tabular-nums}}
.sh ul{{margin:6px 0 0;padding-left:18px;color:var(--quiet)}}
.sh-main td:nth-child(-n+3) .sh-name{{white-space:nowrap}}
.sh-narrow td:nth-child(-n+3) .sh-name{{white-space:normal}}
.sh-narrow .sh-scroll table{{min-width:640px}}
.sh-narrow .sh-list table{{min-width:0;display:block}}
.sh-narrow .sh-list thead{{display:none}}
.sh-narrow .sh-list tbody{{display:block}}
.sh-narrow .sh-list tr{{display:block;border-bottom:1px solid var(--line);padding:6px 0}}
.sh-narrow .sh-list tr:last-child{{border-bottom:0}}
.sh-narrow .sh-list td{{display:inline;border:0;padding:0 6px 0 0}}
.sh-narrow .sh-list td:last-child{{display:block;color:var(--quiet)}}
.sh-when{{white-space:nowrap;color:var(--quiet)}}
"""
