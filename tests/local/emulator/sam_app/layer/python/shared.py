def greeting(word: str) -> str:
    return f"hello {word}"
