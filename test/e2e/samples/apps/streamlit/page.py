import streamlit

streamlit.write("Hello from a box")
