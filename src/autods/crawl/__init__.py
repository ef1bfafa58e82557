"""Crawling the web: what a page is and leads to, how far to go, and who may be asked."""
