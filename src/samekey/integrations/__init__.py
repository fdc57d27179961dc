"""Small adapters for SDKs that take no httpx client."""
