"""Sender style: what Streamlit's own means do not reach. Nothing of anybody's stands in it."""

STYLE = """<style>
.st-key-senders_table, .st-key-senders_deleted { padding: 0; overflow: hidden; }
.st-key-senders_head { padding: .35rem 1rem; background: color-mix(in srgb, currentColor 4%, transparent); }
[class*="st-key-senders_row_"] { padding: .7rem 1rem; }
[class*="st-key-senders_row_"]:not(:first-child),
:not(:first-child) > [class*="st-key-senders_row_"] {
  border-top: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
[class*="st-key-senders-open-"] button { min-height: 0; padding: 0; white-space: normal; text-align: left;
  overflow-wrap: anywhere; }
[class*="st-key-senders-open-"] button p { font-size: 1rem; font-weight: 500; text-decoration: underline;
  text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); text-underline-offset: .25em; }
.st-key-sender_address [data-testid="stText"] { font-size: 1.25rem; font-weight: 600; }
[data-testid="stText"], [data-testid="stCaptionContainer"], [data-testid="stAlert"]
{ overflow-wrap: anywhere; }
/* Copying is what these are for: their buttons show without a mouse above them. */
[class*="st-key-record_"] [data-testid="stCode"] > div:last-child {
  opacity: 1; visibility: visible; top: 0; height: 100%; padding: 0 .5rem 0 0;
  display: flex; align-items: center; }
[class*="st-key-record_"] [data-testid="stCode"] pre { padding: .55rem 2.75rem .55rem .75rem; }
[class*="st-key-record_"] [data-testid="stColumn"]:first-child { max-width: 5rem; }
/* On a phone the cells of a row stand below each other, and no head names them. */
@media (max-width: 640px) {
  .st-key-senders_head { display: none; }
  [class*="st-key-senders_created_"] [data-testid="stText"]::before { content: "Created "; white-space: pre; }
  [class*="st-key-record_"] [data-testid="stColumn"]:first-child { max-width: none; }
}
</style>"""
