// For the first script that a profile fetches the browser prepares something for 5 to 7 ms: no part of the next page's time.
