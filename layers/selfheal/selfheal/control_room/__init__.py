"""The control room: what stands in the ledger as one page of HTML, and the buttons of those who decide."""
