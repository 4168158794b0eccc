"""Pictures of one signal, drawn by librosa.display and matplotlib."""
