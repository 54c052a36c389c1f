"""A client of an HTTP proxy on Python's requests: HTTPS through CONNECT.

Usage: connect_client.py PROXY URL CAFILE. Prints "ok " and the page, and exits 0.
"""

import sys

import requests


def main():
    proxy, url, ca = sys.argv[1:]
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": proxy}
        pages = [session.get(url, verify=ca, timeout=60).text for _ in range(3)]
        assert len(set(pages)) == 1, pages
        try:
            session.get("https://nowhere.test/", verify=ca, timeout=60)
        except requests.exceptions.ProxyError:
            pass
        else:
            raise AssertionError("a name that does not exist answers")
    print("ok", pages[0].strip())


main()
