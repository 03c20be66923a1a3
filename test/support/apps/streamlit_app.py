"""A Streamlit app that tells which container serves a session, and keeps a count and an uploaded file in it."""

import os

import streamlit as st

PLACE = f"{os.environ.get('POSTERN_BOX', 'box')}/{os.getpid()}"

if st.button("count"):
    st.session_state.number = st.session_state.get("number", 0) + 1
    st.text(f"counted {PLACE} {st.session_state.number}")
file = st.file_uploader("file")
if file is not None:
    st.text(f"received {PLACE} {file.read().decode()}")
    st.download_button("download", f"{PLACE} downloaded", "told.txt")
