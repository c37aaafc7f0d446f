"""Keys that the proxy issues itself: made, looked up, ended and limited. A key itself is never kept, only its hash."""
