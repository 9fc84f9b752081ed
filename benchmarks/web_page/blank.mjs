// Chromium's network service gets ready for scripts when the first one is asked for: no part of the next page's time.
